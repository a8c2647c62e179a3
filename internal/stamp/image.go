package stamp

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Image names one AMI.
type Image struct {
	Region string
	ID     string
}

// String is the form that ParseImages reads.
func (i Image) String() string { return i.Region + ":" + i.ID }

// imagePattern is one entry of the id of an AMI artifact. AWS's ids are
// hexadecimal; the pattern also allows other letters, which AWS may use one day.
var imagePattern = regexp.MustCompile(`^([a-z]{2,}(?:-[a-z]+)+-[0-9]+):(ami-[0-9a-z]+)$`)

// ParseImages reads the id of an artifact that Packer's Amazon builders made:
// "eu-north-1:ami-0123,us-east-1:ami-4567".
func ParseImages(artifactID string) ([]Image, error) {
	var images []Image
	for entry := range strings.SplitSeq(artifactID, ",") {
		parts := imagePattern.FindStringSubmatch(strings.TrimSpace(entry))
		if parts == nil {
			return nil, fmt.Errorf("this artifact is not an AMI: its id is %q, "+
				"and one like \"eu-north-1:ami-0123,us-east-1:ami-4567\" is expected", artifactID)
		}
		images = append(images, Image{Region: parts[1], ID: parts[2]})
	}
	for i, image := range images {
		if slices.Contains(images[:i], image) {
			return nil, fmt.Errorf("image %s is listed twice in %q", image, artifactID)
		}
	}
	return images, nil
}

// list joins images for people.
func list(images []Image) string {
	if len(images) == 0 {
		return "none"
	}
	words := make([]string, len(images))
	for i, image := range images {
		words[i] = image.String()
	}
	return strings.Join(words, ", ")
}
