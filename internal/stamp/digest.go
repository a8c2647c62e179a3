package stamp

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Digest identifies what an image is made from: its source image, if that is
// known, and the names and contents of the input files. Inputs are files, and
// folders with everything in them. A file's name is relative to its input, so the
// same inputs have the same digest in any location and any order. Without inputs,
// the digest is empty.
//
// Symbolic links and other special files are refused, because what they point to
// on this machine is not part of the input.
func Digest(sourceImage string, inputs []string) (string, error) {
	files, err := inputFiles(inputs)
	if err != nil {
		return "", err
	}
	if len(inputs) == 0 {
		return "", nil
	}
	all := sha256.New()
	_, _ = fmt.Fprintf(all, "source %q\n", sourceImage)
	for _, f := range files {
		content, err := fileDigest(f.path)
		if err != nil {
			return "", fmt.Errorf("read input %s: %w", f.path, err)
		}
		// Quoted, so that no name can pass for another entry.
		_, _ = fmt.Fprintf(all, "file %q %x\n", f.name, content)
	}
	return "sha256:" + hex.EncodeToString(all.Sum(nil)), nil
}

// CheckInputs reports what Digest would refuse, without reading the files.
func CheckInputs(inputs []string) error {
	_, err := inputFiles(inputs)
	return err
}

// inputFile is one file of the inputs.
type inputFile struct {
	path string
	// name is its path from the last element of the input's path on, with slashes.
	name string
}

// inputFiles lists the files of all inputs by name.
func inputFiles(inputs []string) ([]inputFile, error) {
	var files []inputFile
	for _, input := range inputs {
		found, err := walk(input)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	slices.SortFunc(files, func(a, b inputFile) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(files); i++ {
		if files[i].name == files[i-1].name {
			return nil, fmt.Errorf("the inputs %s and %s have the same name %q; name the folder that holds them instead",
				files[i-1].path, files[i].path, files[i].name)
		}
	}
	return files, nil
}

func walk(input string) ([]inputFile, error) {
	if input == "" {
		return nil, errors.New("an input has an empty path")
	}
	root := filepath.Clean(input)
	base := filepath.Base(root)
	if base == "." || base == ".." {
		base = "" // the folder may have another name on another machine
	}
	var files []inputFile
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("input %s does not exist", path)
		case err != nil:
			return fmt.Errorf("read input %s: %w", input, err)
		case entry.IsDir():
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			return fmt.Errorf("input %s: %s is a symbolic link; name the file or folder it leads to", input, path)
		case !entry.Type().IsRegular():
			return fmt.Errorf("input %s: %s is neither a file nor a folder", input, path)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return fmt.Errorf("read input %s: %w", input, err)
		}
		files = append(files, inputFile{path: path, name: filepath.ToSlash(filepath.Join(base, name))})
		return nil
	})
	return files, err
}

func fileDigest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	content := sha256.New()
	if _, err := io.Copy(content, f); err != nil {
		return nil, err
	}
	return content.Sum(nil), nil
}
