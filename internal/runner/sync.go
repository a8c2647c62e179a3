package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/spool"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Sync sends what earlier runs on this machine have left to the repository, and
// returns a report of each for people.
func (r *Runner) Sync(ctx context.Context) (reports []string, all []spool.Synced, err error) {
	state, err := OpenState()
	if err != nil {
		return nil, nil, err
	}
	store, err := r.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return r.send(ctx, state, store)
}

// send sends what earlier runs on this machine have left, and removes the files
// that lost runs could not remove any more.
func (r *Runner) send(ctx context.Context, state State, store builddata.Store) (reports []string, all []spool.Synced, err error) {
	all, err = spool.Sync(ctx, state.Spool(r.RepositoryKey), store)
	for _, s := range all {
		reports = append(reports, Report(ctx, store, s))
		err = errors.Join(err, state.RemoveScratch(s.Run.ID))
	}
	return reports, all, err
}

// Report says what became of a run whose spool file was found. For a lost run
// it has the commands that remove what the run may have created.
func Report(ctx context.Context, store builddata.Versions, s spool.Synced) string {
	what := fmt.Sprintf("%s, run %s", s.Run.Service, s.Run.ID)
	if v, err := store.VersionByNumber(ctx, s.Run.Service, s.Run.Number); err == nil {
		what = fmt.Sprintf("%s %s, run %s", s.Run.Service, v.Name, s.Run.ID)
	}
	if s.UnknownVersion != "" {
		what += fmt.Sprintf(" (for version %s, which did not exist, so it is recorded without one)", s.UnknownVersion)
	}
	if s.Run.Status != builddata.Lost {
		return fmt.Sprintf("%s (%s, %s): %s that were kept on this machine are now in the repository",
			what, s.Run.Pipe, s.Run.Status, text.Count(s.Records, "record"))
	}
	report := fmt.Sprintf("%s (%s, begun at %s by %s) is lost: %s",
		what, s.Run.Pipe, s.Run.StartedAt.Format(time.RFC3339), s.Run.Holder, s.Run.Message)
	definition, err := pipe.Decode(s.Run.Definition)
	if err != nil || s.Run.Number == 0 {
		return report // without a version, nothing was created for one
	}
	library := task.New(task.Dependencies{})
	var commands []string
	for section, step := range definition.Tasks() {
		if d, _ := library.Task(step.Task); section == pipe.Last && d.Undoes {
			command := fmt.Sprintf("\n  delivery run --of %s --run-task %s --pipe %s",
				s.Run.ID, text.ShellWord(step.Name), text.ShellWord(definition.At.PipeName()))
			if s.Run.Untraceable != "" {
				command += " --allow-unpushed"
			}
			commands = append(commands, command)
		}
	}
	if len(commands) > 0 {
		report += fmt.Sprintf("; to remove what it may have created in the environment %s, run", s.Run.Context[pipe.ValueEnvironment])
		report += strings.Join(commands, "")
	}
	return report
}
