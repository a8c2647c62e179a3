package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

func TestSpec_CheckVersion(t *testing.T) {
	good := builddata.Version{Service: "web", Number: 1, Name: "1"}
	revoked := good.Revoke("loses orders", time.Unix(0, 0))
	image := func(region, id string) builddata.Image {
		return builddata.Image{Service: "web", Number: 1, Region: region, ID: id, Architecture: "arm64", Status: builddata.ImageAvailable}
	}
	with := func(status builddata.ImageStatus) []builddata.Image {
		i := image("eu-north-1", "ami-1")
		i.Status = status
		return []builddata.Image{i}
	}
	for _, tt := range []struct {
		name   string
		v      builddata.Version
		images []builddata.Image
		allow  cluster.Exceptions
		says   []string
	}{
		{"Good", good, []builddata.Image{image("eu-north-1", "ami-1")}, cluster.Exceptions{}, nil},
		{"OneOfTwo", good, []builddata.Image{image("eu-north-1", "ami-2"), image("eu-north-1", "ami-1")}, cluster.Exceptions{}, nil},
		{"Revoked", revoked, []builddata.Image{image("eu-north-1", "ami-1")}, cluster.Exceptions{}, []string{"loses orders", "allow_revoked = true"}},
		{"RevokedAllowed", revoked, []builddata.Image{image("eu-north-1", "ami-1")}, cluster.Exceptions{Revoked: true}, nil},
		{"NoImage", good, nil, cluster.Exceptions{}, []string{"ami-1 is not registered", "it has no image"}},
		{"OtherImage", good, []builddata.Image{image("eu-north-1", "ami-2")}, cluster.Exceptions{}, []string{"it has ami-2 in eu-north-1 (arm64)"}},
		{"OtherRegion", good, []builddata.Image{image("us-east-1", "ami-1")}, cluster.Exceptions{}, []string{"in eu-north-1; it has ami-1 in us-east-1"}},
		{"Replaced", good, with(builddata.ImageReplaced), cluster.Exceptions{}, nil},
		{"Pending", good, with(builddata.ImagePending), cluster.Exceptions{UnregisteredImage: true}, []string{"ami-1 is pending"}},
		{"Forgotten", good, with(builddata.ImageForgotten), cluster.Exceptions{}, []string{"ami-1 is forgotten"}},
		{"UnregisteredAllowed", good, nil, cluster.Exceptions{UnregisteredImage: true}, nil},
		{"Both", revoked, nil, cluster.Exceptions{}, []string{"loses orders", "is not registered"}},
		{"OneException", revoked, nil, cluster.Exceptions{UnregisteredImage: true}, []string{"loses orders"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := cluster.Spec{ImageID: "ami-1"}.CheckVersion(tt.v, tt.images, "eu-north-1", tt.allow)
			if (err != nil) != (len(tt.says) > 0) {
				t.Fatalf("got %v", err)
			}
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want it to say %q", err, says)
				}
			}
		})
	}
}
