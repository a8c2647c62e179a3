package awscloud

import (
	"errors"
	"slices"
	"strings"

	"github.com/aws/smithy-go"
)

// hasCode reports whether AWS answered with one of the error codes.
func hasCode(err error, codes ...string) bool {
	var e smithy.APIError
	return errors.As(err, &e) && slices.Contains(codes, e.ErrorCode())
}

// mentions reports whether AWS's message contains one of the phrases. Only for
// where AWS gives different faults one code.
func mentions(err error, phrases ...string) bool {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return false
	}
	message := strings.ToLower(e.ErrorMessage())
	return slices.ContainsFunc(phrases, func(phrase string) bool { return strings.Contains(message, phrase) })
}
