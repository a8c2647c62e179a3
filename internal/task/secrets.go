package task

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// secretsVariable names the file to which a program writes texts that are masked from then on,
// one on each line.
const secretsVariable = "DELIVERY_SECRETS"

// maxSecrets bounds that file.
const maxSecrets = 64 << 10

// secretsReader passes on what a program prints, after it has read the program's file of
// secrets: what the program wrote to the file before it printed is masked.
type secretsReader struct {
	file *os.File
	add  func(name, secret string)
	to   io.Writer
	// content is what the file held last.
	content []byte
	err     error
}

// readSecrets returns a reader of a file of secrets. Users must close it.
func readSecrets(path string, add func(name, secret string), to io.Writer) (*secretsReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the file $%s: %w", secretsVariable, err)
	}
	return &secretsReader{file: file, add: add, to: to}, nil
}

func (r *secretsReader) Write(p []byte) (int, error) {
	if r.read(); r.err != nil {
		return 0, r.err // rather than print a secret
	}
	return r.to.Write(p)
}

// read masks the lines of the file. A line without an end counts as well, since programs
// print a secret without one.
func (r *secretsReader) read() {
	if r.err != nil {
		return
	}
	info, err := r.file.Stat()
	if err != nil || info.Size() == 0 {
		r.err = err
		return
	}
	content, err := io.ReadAll(io.NewSectionReader(r.file, 0, maxSecrets+1))
	switch {
	case err != nil:
		r.err = fmt.Errorf("read the file $%s: %w", secretsVariable, err)
	case len(content) > maxSecrets:
		r.err = fmt.Errorf("the file $%s has more than %d bytes", secretsVariable, maxSecrets)
	case !bytes.Equal(content, r.content):
		r.content = content
		for i, line := range strings.Split(string(r.content), "\n") {
			if line = strings.TrimRight(line, "\r"); line != "" {
				r.add(fmt.Sprintf("in line %d of $%s", i+1, secretsVariable), line)
			}
		}
	}
}

// Close reads the file once more, and returns the first error.
func (r *secretsReader) Close() error {
	r.read()
	opened, err := r.file.Stat()
	if err == nil && r.err == nil {
		if now, err := os.Lstat(r.file.Name()); err != nil || !os.SameFile(opened, now) {
			r.err = fmt.Errorf("the file $%s was removed or replaced, so that the secrets in it may have been printed: append to it by >>",
				secretsVariable)
		}
	}
	return errors.Join(r.err, err, r.file.Close())
}
