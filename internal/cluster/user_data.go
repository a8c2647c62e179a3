package cluster

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxUserData is the limit of user data in bytes, before base64,
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html.
const MaxUserData = 16 * 1024

// SetUserData sets the user data. The same data is always set in the same way: as text if
// it is text.
func (s *Servers) SetUserData(data []byte) {
	s.UserData, s.UserDataBase64 = "", ""
	if utf8.Valid(data) {
		s.UserData = string(data)
	} else {
		s.UserDataBase64 = base64.StdEncoding.EncodeToString(data)
	}
}

// EncodedUserData returns the user data in base64; empty if there is none.
func (s Servers) EncodedUserData() string {
	if s.UserDataBase64 != "" {
		return s.UserDataBase64
	}
	return base64.StdEncoding.EncodeToString([]byte(s.UserData))
}

// DecodeUserData decodes user data in base64. Its errors show nothing of the data.
func DecodeUserData(encoded string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the value is not valid base64: %w", err)
	case len(data) == 0:
		return nil, errors.New("the value is empty")
	case len(data) > MaxUserData:
		return nil, fmt.Errorf("the value has %d bytes once it is decoded, and AWS allows at most %d", len(data), MaxUserData)
	}
	return data, nil
}

// beginnings are what user data that is text begins with, in lower case,
// https://docs.cloud-init.io/en/latest/explanation/format.html and
// https://docs.aws.amazon.com/AWSEC2/latest/WindowsGuide/user-data.html.
var beginnings = []string{
	"#!", "#cloud-", "#include", "#part-handler", "## template:", "content-type: multipart", "mime-version:", "<powershell>", "<script>",
}

// IsEncodedUserData reports whether data is base64 of something that servers would take for
// user data. Servers ignore data that is encoded twice.
func IsEncodedUserData(data []byte) bool {
	decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(data)))
	if err != nil {
		return false
	}
	if bytes.HasPrefix(decoded, []byte{0x1f, 0x8b}) { // gzip
		return true
	}
	lower := strings.ToLower(string(decoded[:min(len(decoded), 64)]))
	return slices.ContainsFunc(beginnings, func(beginning string) bool { return strings.HasPrefix(lower, beginning) })
}
