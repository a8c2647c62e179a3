// Command demo shows the main job from start to end with the real programs, on an
// emulated AWS: one pipe builds a version, bakes its image in two regions, tests it
// in an environment of its own and removes that; another rolls the tested image out
// to production under load; then a bad version is rolled out, and rolled back: once
// because of an alarm, and once because of a check. The demo checks everything that it prints.
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
		fmt.Println("\nInterrupted. The emulated AWS and all files of the demo have been removed.")
		os.Exit(130)
	}
	fmt.Printf("\nThe demo failed: %v\nThe emulated AWS and all files of the demo are gone.\n", err)
	os.Exit(1)
}

// run plays the scenes in order, and takes the harness down in any case.
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
		{"The starting point: version 1 in production", s.today},
		{"Run the pipe: build, bake, test in an environment of its own, promote", s.application},
		{"Show what the build data repository has recorded", s.remember},
		{"Roll the tested image out to production, under load", s.release},
		{"Roll out a bad version, with an alarm", s.releaseBad},
		{"Roll out the bad version, with a check before it gets requests", s.releaseChecked},
	} {
		s.title(scene.title)
		if err := scene.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", scene.title, err)
		}
	}
	s.epilogue()
	return nil
}
