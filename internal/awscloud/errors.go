package awscloud

import (
	"errors"
	"slices"

	"github.com/aws/smithy-go"
)

// hasCode reports whether AWS answered with one of the error codes.
func hasCode(err error, codes ...string) bool {
	var e smithy.APIError
	return errors.As(err, &e) && slices.Contains(codes, e.ErrorCode())
}
