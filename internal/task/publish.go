package task

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// publish uploads build results to an artifact repository.
func (r *Registry) publish() pipe.Definition {
	return pipe.Definition{
		Type: "release.publish", Summary: "Uploads files to an artifact repository by HTTP PUT.",
		Arguments: []pipe.Argument{
			filesArgument,
			{
				Name: "url", Kind: pipe.Text, Required: true,
				Summary: "The URL of the folder to upload to. Each file keeps its path in the checkout.",
			},
			{Name: "username", Kind: pipe.Text, Summary: "The user to sign in as; by default there is no sign-in."},
			{Name: "password", Kind: pipe.Text, Summary: "The password."},
		},
		Run: runPublish,
		Mock: mock(nil, func(c *pipe.Call) string {
			return "publish " + strings.Join(c.Args.List("files"), ", ")
		}),
	}
}

func runPublish(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	found, err := findFiles(c.Folder, c.Args.List("files"), false)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("files: %w", err)
	}
	names := found.files
	if len(names) == 0 {
		return pipe.Result{}, fmt.Errorf("nothing was published: %w", found.noneOf(c.Args.List("files"), c.Folder))
	}
	target, err := parseURL(c.Args.Text("url"))
	if err != nil {
		return pipe.Result{}, fmt.Errorf("nothing was published: %w", err)
	}
	root, err := os.OpenRoot(c.Folder)
	if err != nil {
		return pipe.Result{}, err
	}
	defer root.Close() //nolint:errcheck // only a handle
	for done, name := range names {
		if err := interruptible(ctx, func() error { return put(ctx, c, root, target, name) }); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return pipe.Result{}, fmt.Errorf("%s was not published: %w; %d of %s were published before it",
				name, err, done, text.Count(len(names), "file"))
		}
	}
	return pipe.Result{
		Message: fmt.Sprintf("published %s at %s", text.Count(len(names), "file"), origin(target)), Warnings: found.warnings(),
	}, nil
}

// put uploads one file, which is read while it is sent.
func put(ctx context.Context, c *pipe.Call, root *os.Root, folder *url.URL, name string) error {
	open := func() (io.ReadCloser, error) {
		file, _, err := openFile(root, name, maxUpload)
		return file, err
	}
	body, info, err := openFile(root, name, maxUpload)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // only read
	segments := strings.Split(name, "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	target := folder.JoinPath(segments...)
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, target.String(), body)
	if err != nil {
		return err
	}
	r.ContentLength, r.GetBody = info.Size(), open
	if info.Size() == 0 {
		r.Body = http.NoBody
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	if username := c.Args.Text("username"); username != "" {
		r.SetBasicAuth(username, c.Args.Text("password"))
	}
	printf(c, "PUT %s%s (%d bytes)", origin(target), target.EscapedPath(), info.Size())
	return send(r, c.Mask)
}
