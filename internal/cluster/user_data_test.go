package cluster_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

func encode(data string) string { return base64.StdEncoding.EncodeToString([]byte(data)) }

// However the same data is given, it is the same specification.
func TestServers_SetUserData(t *testing.T) {
	for data, binary := range map[string]bool{"": false, "#!/bin/sh\necho é": false, "\x1f\x8b\x08": true} {
		decoded, err := []byte(nil), error(nil)
		if data != "" {
			if decoded, err = cluster.DecodeUserData(encode(data)); err != nil {
				t.Fatal(err)
			}
		}
		plain := cluster.Servers{UserData: "before", UserDataBase64: "before"}
		plain.SetUserData(decoded)
		want := cluster.Servers{UserData: data}
		if binary {
			want = cluster.Servers{UserDataBase64: encode(data)}
		}
		if plain.UserData != want.UserData || plain.UserDataBase64 != want.UserDataBase64 || plain.EncodedUserData() != encode(data) {
			t.Errorf("%q: got %+v, encoded as %q", data, plain, plain.EncodedUserData())
		}
	}
}

func TestDecodeUserData(t *testing.T) {
	for value, says := range map[string]string{
		encode("#!/bin/sh"):                  "",
		"IyEv\nYmluL3No\n":                   "",
		encode(strings.Repeat("x", 1<<14)):   "",
		encode(strings.Repeat("x", 1<<14+1)): "has 16385 bytes once it is decoded, and AWS allows at most 16384",
		"hunter2!":                           "is not valid base64",
		"":                                   "is empty",
	} {
		_, err := cluster.DecodeUserData(value)
		if (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || strings.Contains(err.Error(), secret)) {
			t.Errorf("%.20q: got %v, want %q", value, err, says)
		}
	}
}

func TestIsEncodedUserData(t *testing.T) {
	for data, want := range map[string]bool{
		encode("\x1f\x8b\x08\x00"):                                true,
		encode("#!/bin/sh\n"):                                     true,
		encode("#cloud-config\npackages: []"):                     true,
		encode("Content-Type: multipart/mixed; boundary=\"x\""):   true,
		encode("MIME-Version: 1.0\nContent-Type: multipart/x"):    true,
		"\n" + encode("<powershell>\nexit\n</powershell>") + "\n": true,
		encode(encode("#!/bin/sh")):                               false, // the caller decodes once
		encode("hello"):                                           false,
		"#!/bin/sh":                                               false,
		"\x1f\x8b\x08":                                            false,
		"":                                                        false,
		"ENVIRONMENT":                                             false,
	} {
		if got := cluster.IsEncodedUserData([]byte(data)); got != want {
			t.Errorf("%q: got %t", data, got)
		}
	}
}
