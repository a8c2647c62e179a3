package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"os"
	"path"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

var filesArgument = pipe.Argument{
	Name: "files", Kind: pipe.List, Required: true,
	Summary: "Patterns of the files, relative to the root of the checkout: reports/**/*.html.",
}

// files uploads files of the run.
func (r *Registry) files() pipe.Definition {
	return pipe.Definition{
		Type: "report.files", BestEffort: true, Summary: "Uploads files, such as reports, to an S3 bucket, each of at most 5 GB.",
		Arguments: []pipe.Argument{
			filesArgument,
			{Name: "bucket", Kind: pipe.Text, Required: true, Summary: "The bucket."},
			{Name: "prefix", Kind: pipe.Text, Summary: "The prefix of the files' keys: ${{ service }}/${{ version }}."},
			{Name: "region", Kind: pipe.Text, Summary: "The bucket's region; by default that of the environment."},
			requiredArgument,
		},
		Run: r.runFiles,
		Mock: mock(nil, func(c *pipe.Call) string {
			return fmt.Sprintf("upload %s to %s", strings.Join(c.Args.List("files"), ", "), bucketURL(c))
		}),
	}
}

// maxUpload is the size of the largest file that is uploaded, which is S3's limit.
const maxUpload = 5 << 30

// bucketURL is the address of the uploaded files.
func bucketURL(c *pipe.Call) string {
	return "s3://" + path.Join(c.Args.Text("bucket"), c.Args.Text("prefix")) + "/"
}

func (r *Registry) runFiles(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	found, err := findFiles(c.Folder, c.Args.List("files"), false)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("files: %w", err)
	}
	to, names := bucketURL(c), found.files
	if len(names) == 0 {
		return delivered(ctx, c, "", found.noneOf(c.Args.List("files"), c.Folder))
	}
	done, err := r.upload(ctx, c, names)
	if err != nil && done > 0 {
		err = fmt.Errorf("%w; %d of %s were uploaded to %s before that", err, done, text.Count(len(names), "file"), to)
	}
	result, err := delivered(ctx, c, fmt.Sprintf("uploaded %s to %s", text.Count(len(names), "file"), to), err)
	result.Warnings = append(result.Warnings, found.warnings()...)
	if done > 0 {
		result.Report = to
	}
	return result, err
}

// upload returns how many files it has uploaded.
func (r *Registry) upload(ctx context.Context, c *pipe.Call, names []string) (done int, err error) {
	store, err := r.Files(ctx, c.Args.Text("region"))
	if err != nil {
		return 0, fmt.Errorf("the files: %w", err)
	}
	root, err := os.OpenRoot(c.Folder)
	if err != nil {
		return 0, err
	}
	defer root.Close() //nolint:errcheck // only a handle
	for done, name := range names {
		key := strings.TrimPrefix(path.Join(c.Args.Text("prefix"), name), "/")
		if err := uploadFile(ctx, store, root, name, c.Args.Text("bucket"), key); err != nil {
			return done, fmt.Errorf("the file %s: %w", name, err)
		}
		printf(c, "%s -> s3://%s/%s", name, c.Args.Text("bucket"), key)
	}
	return len(names), nil
}

func uploadFile(ctx context.Context, store Files, root *os.Root, name, bucket, key string) error {
	file, _, err := openFile(root, name, maxUpload)
	if err != nil {
		return err
	}
	return interruptible(ctx, func() error {
		uploading := store.Upload(ctx, bucket, key, cmp.Or(mime.TypeByExtension(path.Ext(name)), "application/octet-stream"), file)
		return errors.Join(uploading, file.Close())
	})
}
