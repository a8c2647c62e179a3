// Command demo shows the main job from start to end with the real programs, on
// an emulated AWS: one pipe builds a version, bakes it into two regions, tests
// it in an environment of its own and leaves nothing of that behind; another
// rolls the tested image into production under load; then a bad version, which
// ends where it began. It checks everything that it tells, and fails if any of
// it is not so.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx)
	switch {
	case err == nil:
		return
	case ctx.Err() != nil:
		fmt.Println("\nInterrupted. The emulated AWS and all files of the demo are gone.")
		os.Exit(130)
	}
	fmt.Printf("\nThe demo failed: %v\nThe emulated AWS and all files of the demo are gone.\n", err)
	os.Exit(1)
}

// run plays the scenes in order, and takes the stage down however they end.
func run(ctx context.Context) (err error) {
	s, err := setUp(ctx)
	defer func() { err = errors.Join(err, s.takeDown()) }()
	if err != nil {
		return err
	}
	for _, scene := range []struct {
		title string
		play  func(ctx context.Context) error
	}{
		{"What there is: version 1 in production, and people who use it", s.today},
		{"Run the pipe: build, bake, test in an environment of its own, promote", s.application},
		{"Look at what the repository remembers", s.remember},
		{"Roll the tested image into production, under load", s.release},
		{"Roll out a bad version", s.releaseBad},
	} {
		s.title(scene.title)
		if err := scene.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", scene.title, err)
		}
	}
	s.epilogue()
	return nil
}
