// Package sqlite keeps the build data repository in one SQLite file, shared by
// any number of processes on one machine. It is the default for a laptop or a
// single CI node; WAL mode needs a local file system, not NFS or SMB.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

const (
	// applicationID marks our files in their header ("dlvr"), so that a database of another
	// program is recognized.
	applicationID = 0x646c7672
	// schemaVersion is the number of the latest file in the folder schema, and firstSchema
	// that of the first. A released file never changes: a new release adds a file. Earlier
	// schemas than firstSchema were never released, and are refused.
	schemaVersion = 8
	firstSchema   = 4
	// lockTimeout is how long an operation waits for other processes.
	lockTimeout = 30 * time.Second
)

//go:embed schema/*.sql
var schema embed.FS

// Store is a builddata.Store in a SQLite file.
type Store struct {
	db   *sql.DB
	path string
	// file is the file that was opened, and id the ID of the repository in it.
	file  os.FileInfo
	id    string
	clock clock.Clock
	// writing admits one goroutine at a time to the write lock, which is much faster than
	// queueing in the connection pool.
	writing    chan struct{}
	allocation allocation
}

var _ builddata.Store = (*Store)(nil)

// Open opens the repository at path. It creates the file and its folder if they do not
// exist; only the owner can read the file (mode 0600). A file that other users can write
// loses that permission, or is refused if it belongs to another user. A file that is not a build data
// repository, or that has an unknown schema, is not changed, and the error is
// builddata.ErrCorrupt.
func Open(ctx context.Context, path string, c clock.Clock) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open build data repository %s: %w", path, err)
	}
	file, err := touch(path)
	if err != nil {
		return nil, fmt.Errorf("open build data repository %s: %w: %w", path, builddata.ErrUnavailable, err)
	}
	// These are settings of a connection, not of the file, so they belong in the DSN.
	// Because of the full sync on every commit, a number that was allocated is not
	// allocated again after a power failure; macOS also needs fullfsync for that.
	// With mode=rw, SQLite does not create a file that was removed in the meantime.
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: url.Values{
		"_pragma": {"busy_timeout(0)", "foreign_keys(1)", "synchronous(FULL)", "fullfsync(1)"},
		"_txlock": {"immediate"}, "mode": {"rw"},
	}.Encode()}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open build data repository %s: %w", path, err)
	}
	// With one connection, goroutines queue in order for the one writer that SQLite allows,
	// instead of competing for its lock.
	db.SetMaxOpenConns(1)
	s := &Store{db: db, path: path, file: file, clock: c, writing: make(chan struct{}, 1)}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	err = s.retryBusy(ctx, "open", func() (err error) {
		if s.allocation, err = prepareAllocation(ctx, db); err != nil {
			return err
		}
		return db.QueryRowContext(ctx, "SELECT id FROM repository").Scan(&s.id)
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// touch creates the file with mode 0600 if it does not exist. SQLite would create it with
// more permissions.
func touch(path string) (os.FileInfo, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = makePrivate(f, info)
	}
	return info, errors.Join(err, f.Close())
}

// writableByOthers are the permissions by which other users could change what is recorded.
const writableByOthers = 0o022

// makePrivate takes all permissions on the file from other users if they can write it.
func makePrivate(f *os.File, info os.FileInfo) error {
	mode := info.Mode().Perm()
	if mode&writableByOthers == 0 || runtime.GOOS == "windows" || !info.Mode().IsRegular() {
		return nil
	}
	if err := f.Chmod(0o600); err != nil {
		return fmt.Errorf("other users can write it (mode %04o), and it belongs to another user: "+
			"have its owner run \"chmod go-w\" on it, or name another file: %w", mode, err)
	}
	return nil
}

// present returns a *builddata.ReplacedError if the file that was opened is not at its path
// any more. SQLite would go on using it, and what is written would be lost.
func (s *Store) present() error {
	now, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &builddata.ReplacedError{Path: s.path, State: "its file was removed"}
	case err != nil:
		return fmt.Errorf("build data repository %s: %w: %w", s.path, builddata.ErrUnavailable, err)
	case !os.SameFile(now, s.file):
		return &builddata.ReplacedError{Path: s.path, State: "another file took its place"}
	}
	return nil
}

// ID implements builddata.Identity.
func (s *Store) ID(context.Context) (string, error) { return s.id, s.present() }

// Close releases the file.
func (s *Store) Close() error { return s.db.Close() }

// migrate upgrades the file to schemaVersion. Several processes may call it at once.
func (s *Store) migrate(ctx context.Context) error {
	var version int
	err := s.retryBusy(ctx, "open", func() (err error) {
		version, err = s.inspect(ctx, s.db)
		return err
	})
	if err != nil || version == schemaVersion {
		return err
	}
	// This is not possible inside a transaction. The file keeps the mode.
	err = s.retryBusy(ctx, "open", func() error {
		_, err := s.db.ExecContext(ctx, "PRAGMA journal_mode = WAL")
		return err
	})
	if err != nil {
		return err
	}
	return s.write(ctx, "open", func(tx *sql.Tx) error {
		// Another process may have been first, perhaps one of a newer release.
		version, err := s.inspect(ctx, tx)
		if err != nil || version == schemaVersion {
			return err
		}
		version = max(version, firstSchema-1)
		for version < schemaVersion {
			version++
			statements, err := schema.ReadFile(fmt.Sprintf("schema/%d.sql", version))
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, string(statements)); err != nil {
				return fmt.Errorf("upgrade build data repository %s to schema %d: %w", s.path, version, err)
			}
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, schemaVersion))
		return err
	})
}

// inspect returns the schema version of the file, which is 0 for an empty file. It is an
// error if the file cannot be used.
func (s *Store) inspect(ctx context.Context, q querier) (version int, err error) {
	var id, objects int
	err = q.QueryRowContext(ctx, `SELECT
		(SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM sqlite_schema)`).Scan(&id, &version, &objects)
	switch {
	case err != nil:
		return 0, err
	case objects > 0 && id != applicationID:
		return 0, fmt.Errorf("build data repository %s: %w: it is the database of another program; it was not changed; name another file",
			s.path, builddata.ErrCorrupt)
	case version > schemaVersion:
		return 0, fmt.Errorf("build data repository %s: %w: it was written by a newer release (schema %d, this release knows %d); "+
			"upgrade this program",
			s.path, builddata.ErrCorrupt, version, schemaVersion)
	case objects > 0 && version < firstSchema:
		return 0, fmt.Errorf("build data repository %s: %w: it was written before the first release (schema %d, "+
			"this release reads %d and later); "+
			"it was not changed; move it away to create a new one, or name another file", s.path, builddata.ErrCorrupt, version, firstSchema)
	}
	return version, nil
}

// write runs f in a transaction, which holds the write lock from the beginning.
func (s *Store) write(ctx context.Context, operation string, f func(tx *sql.Tx) error) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", operation, ctx.Err())
	}
	return s.retryBusy(ctx, operation, func() error {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
}

// retryBusy repeats f while another process holds the file, and translates the driver's
// errors into the domain's. Whatever f returns, the file must be at its path.
func (s *Store) retryBusy(ctx context.Context, operation string, f func() error) error {
	start := s.clock.Now()
	for {
		err := f()
		// Afterwards, because a file that is removed before a commit takes the change with it.
		if gone := s.present(); gone != nil {
			return fmt.Errorf("%s: %w", operation, gone)
		}
		if err == nil {
			return nil
		}
		if !busy(err) {
			return s.translate(operation, err)
		}
		waited := s.clock.Now().Sub(start)
		if waited >= lockTimeout {
			return fmt.Errorf("%s: build data repository %s: %w: another process has held its lock for %s; nothing was changed; "+
				"end that process (\"fuser %s\" names it) and try again",
				operation, s.path, builddata.ErrUnavailable, waited.Round(time.Second), s.path)
		}
		// Random waits prevent processes from blocking each other again and again.
		if err := s.clock.Sleep(ctx, 100*time.Microsecond+rand.N(900*time.Microsecond)); err != nil {
			return fmt.Errorf("%s: build data repository %s: interrupted while another process holds its lock; nothing was changed: %w", operation,
				s.path, err)
		}
	}
}

// busy reports whether another connection holds a lock.
func busy(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	primary := e.Code() & 0xff
	return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
}

// translate converts an error of the driver to one of the domain, by its code.
func (s *Store) translate(operation string, err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT:
			return fmt.Errorf("%s: build data repository %s: %w: the file is damaged or not a SQLite database (%w); it was not changed; "+
				"restore it from a backup or name another file", operation, s.path, builddata.ErrCorrupt, err)
		case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL:
			return fmt.Errorf("%s: build data repository %s: %w: %w", operation, s.path, builddata.ErrUnavailable, err)
		}
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
			return fmt.Errorf("%s: %w: the version does not exist", operation, builddata.ErrNotFound)
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return fmt.Errorf("%s: %w: %w", operation, builddata.ErrConflict, err)
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: build data repository %s: %w: %w", operation, s.path, builddata.ErrUnavailable, err)
	case errors.As(err, new(*builddata.RequirementError)):
		return err // it says what was attempted
	case err == builddata.ErrNotFound: //nolint:errorlint // what wraps it says more
		return fmt.Errorf("%s: %w %s", operation, err, s.path)
	}
	return fmt.Errorf("%s: %w", operation, err)
}

func toMicros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
