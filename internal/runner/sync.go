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

// Sync sends the remaining records of earlier runs on this machine to the repository. It
// returns what it has sent, and a report for people about each run.
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

// Kept describes the records of runs on this machine that the repository does not have, the
// oldest run first. It does not open the repository.
func (r *Runner) Kept() ([]spool.Kept, error) {
	state, err := OpenState()
	if err != nil {
		return nil, err
	}
	return spool.List(state.Spool(r.RepositoryKey))
}

// Discard removes the records of a run that the repository does not have, and the files that
// the run has left, and returns what it has removed.
func (r *Runner) Discard(run string) (spool.Kept, error) {
	state, err := OpenState()
	if err != nil {
		return spool.Kept{}, err
	}
	kept, err := spool.Discard(state.Spool(r.RepositoryKey), run)
	if err != nil {
		return kept, err
	}
	return kept, state.RemoveScratch(run)
}

// send sends the remaining records of earlier runs on this machine, and removes the files
// that lost runs have left.
func (r *Runner) send(ctx context.Context, state State, store builddata.Store) (reports []string, all []spool.Synced, err error) {
	all, err = spool.Sync(ctx, state.Spool(r.RepositoryKey), store)
	for _, s := range all {
		reports = append(reports, Report(ctx, store, s))
		err = errors.Join(err, state.RemoveScratch(s.Run.ID))
	}
	return reports, all, err
}

// Report describes how a run ended whose spool file was sent. For a lost run it includes
// the commands that remove what the run may have created.
func Report(ctx context.Context, store builddata.Versions, s spool.Synced) string {
	run := fmt.Sprintf("%s, run %s", s.Run.Service, s.Run.ID)
	if v, err := store.VersionByNumber(ctx, s.Run.Service, s.Run.Number); err == nil {
		run = fmt.Sprintf("%s %s, run %s", s.Run.Service, v.Name, s.Run.ID)
	}
	if s.UnknownVersion != "" {
		run += fmt.Sprintf(" (for version %s, which did not exist, so the run is recorded without a version)", s.UnknownVersion)
	}
	if s.Run.Status != builddata.Lost {
		return fmt.Sprintf("%s (%s, %s): sent %s that this machine had kept",
			run, s.Run.Pipe, s.Run.Status, text.Count(s.Records, "record"))
	}
	report := fmt.Sprintf("%s (%s, begun at %s by %s) is lost: %s",
		run, s.Run.Pipe, s.Run.StartedAt.Format(time.RFC3339), s.Run.Holder, s.Run.Message)
	definition, err := pipe.Decode(s.Run.Definition)
	if err != nil || s.Run.Number == 0 {
		return report // without a version, nothing was created for one
	}
	tasks := task.New(task.Dependencies{})
	var commands []string
	for section, step := range definition.Tasks() {
		if d, _ := tasks.Task(step.Task); section == pipe.Last && d.Undoes {
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
