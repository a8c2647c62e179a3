package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/spool"
)

// catchUp sends what earlier runs on this machine have left, and tells of those
// that died. The error is that the repository cannot be reached; other trouble
// is told only.
func (p *Pipes) catchUp(ctx context.Context, project *Project, r *repository) (unreachable error) {
	store, err := r.store(ctx)
	if err != nil {
		return err
	}
	told, _, err := p.send(ctx, project.State, store)
	for _, text := range told {
		p.Warn("%s", text)
	}
	if err != nil {
		p.Warn("what earlier runs left on this machine is not all sent and removed: %v", err)
	}
	return nil
}

// Sync sends what earlier runs on this machine have left to the repository.
func (p *Pipes) Sync(ctx context.Context) (told []string, all []spool.Synced, err error) {
	state, err := OpenState()
	if err != nil {
		return nil, nil, err
	}
	store, err := OpenRepository(ctx, p.Repository, p.Clock)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return p.send(ctx, state, store)
}

// send sends what earlier runs on this machine have left, says what became of
// each, and removes what else they could not any more.
func (p *Pipes) send(ctx context.Context, state State, store builddata.Store) (told []string, all []spool.Synced, err error) {
	journals, err := p.journals(state)
	if err != nil {
		return nil, nil, err
	}
	all, err = spool.Sync(ctx, journals, store)
	for _, s := range all {
		told = append(told, Tell(ctx, store, s))
		err = errors.Join(err, state.RemoveScratch(s.Run.ID))
	}
	return told, all, err
}

// Tell says what became of a run whose journal was found.
func Tell(ctx context.Context, store builddata.Versions, s spool.Synced) string {
	what := fmt.Sprintf("%s, run %s", s.Run.Service, s.Run.ID)
	if v, err := versionOf(ctx, store, s.Run); err == nil {
		what = fmt.Sprintf("%s %s, run %s", s.Run.Service, v.Name, s.Run.ID)
	}
	if s.UnknownVersion != "" {
		what += fmt.Sprintf(" (for version %s, which did not exist, so that it is on record without one)", s.UnknownVersion)
	}
	if s.Run.Status != builddata.Lost {
		return fmt.Sprintf("%s (%s, %s): %d records that were kept on this machine are now in the repository", what, s.Run.Pipe, s.Run.Status, s.Records)
	}
	text := fmt.Sprintf("%s (%s, begun at %s by %s) is lost: %s", what, s.Run.Pipe, s.Run.StartedAt.Format(time.RFC3339), s.Run.Holder, s.Run.Message)
	definition, err := pipe.Decode(s.Run.Definition)
	if err != nil || s.Run.Number == 0 {
		return text // without a version, nothing was made of one
	}
	var tidy []string
	for section, step := range definition.Tasks() {
		if section == pipe.Last && strings.EqualFold(step.Task, "provision.destroy") {
			command := fmt.Sprintf("\n  delivery run --of %s --run-task %s --pipe %s", s.Run.ID, Quoted(step.Name), Quoted(definition.At.PipeName()))
			if s.Run.Untraceable != "" {
				command += " --allow-unpushed"
			}
			tidy = append(tidy, command)
		}
	}
	if len(tidy) > 0 {
		text += fmt.Sprintf("; what it may have made, in the environment %s, is removed by", s.Run.Context[pipe.ValueEnvironment]) + strings.Join(tidy, "")
	}
	return text
}
