package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
)

func newImage(c *common) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use:                        "image",
		Short:                      "List and forget images of versions",
		SuggestionsMinimumDistance: 2,
	})
	cmd.AddCommand(newImageList(c), newImageForget(c))
	return cmd
}

func newImageList(c *common) *cobra.Command {
	s := newServiceFlags(c)
	cmd := &cobra.Command{
		Use:   "list VERSION",
		Short: "List the images of a version",
		Long: `List all images of a version, by region and architecture, with their status:

  pending    its bake did not succeed, or still runs; clusters do not use it
  available  clusters use it
  replaced   a later bake replaced it; clusters that use it keep it
  forgotten  AWS does not have it any more`,
		Example: `  delivery image list 17
  delivery image list 17 --service strawberry --output json`,
		Args: exactArgs("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withStore(cmd.Context(), func(store builddata.Store, service string) error {
				images, err := s.catalog(store).Images(cmd.Context(), service, args[0])
				if err != nil {
					return err
				}
				if s.output == asJSON {
					return s.printJSON(images)
				}
				if len(images) == 0 {
					_, err := fmt.Fprintf(s.out, "Version %s of %s has no image.\n", args[0], service)
					return err
				}
				return printImages(s.out, images)
			})
		},
	}
	s.addTo(cmd)
	completeArgument(cmd, s.versionNames)
	return cmd
}

func newImageForget(c *common) *cobra.Command {
	s := newServiceFlags(c)
	var region string
	cmd := &cobra.Command{
		Use:   "forget IMAGE --region REGION",
		Short: "Mark an image as one that AWS does not have any more",
		Long: `Mark an image as one that AWS does not have any more, for example because it was
deregistered. Clusters no longer use it. It stays in the list of the version's images, and
the history of the version shows when it was forgotten. AWS is not changed.`,
		Example: "  delivery image forget ami-0abcdef1234567890 --region eu-north-1",
		Args:    exactArgs("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if region == "" {
				return &usageError{errors.New("--region is missing: set the region of the image")}
			}
			return s.withStore(cmd.Context(), func(store builddata.Store, service string) error {
				image, err := forget(cmd.Context(), store, service, region, args[0])
				if err != nil {
					return err
				}
				view, err := s.catalog(store).Image(cmd.Context(), image)
				if err != nil {
					return err
				}
				if s.output == asJSON {
					return s.printJSON(view)
				}
				return printImages(s.out, []catalog.Image{view})
			})
		},
	}
	s.addTo(cmd)
	cmd.Flags().StringVar(&region, "region", "", "the region of the image")
	return cmd
}

// forget forgets an image, and adds that to the history of its version.
func forget(ctx context.Context, store builddata.Store, service, region, id string) (builddata.Image, error) {
	image, err := store.ForgetImage(ctx, service, region, id)
	if errors.Is(err, builddata.ErrNotFound) {
		return image, fmt.Errorf("image %s in %s of service %s: %w; \"delivery image list VERSION\" lists the images of a version",
			id, region, service, builddata.ErrNotFound)
	}
	if err != nil {
		return image, err
	}
	return image, store.Append(ctx, builddata.Event{
		Service: service, Number: image.Number, Type: "image.forget", Location: region, Status: builddata.Succeeded, Message: "image " + id,
	})
}

func printImages(out io.Writer, images []catalog.Image) error {
	rows := [][]string{{"VERSION", "REGION", "IMAGE", "ARCHITECTURE", "STATUS", "REGISTERED", "RUN"}}
	for _, i := range images {
		rows = append(rows, []string{i.Version, i.Region, i.ImageID, i.Architecture, string(i.Status), formatTime(i.RegisteredAt), i.Run})
	}
	return printTable(out, rows)
}
