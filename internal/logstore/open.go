// Package logstore opens stores for the logs of steps by their addresses, and implements
// those that are reached by HTTP.
package logstore

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// Variable is the environment variable for the address of the log store, and
// AuthorizationVariable that for the header Authorization of requests to an HTTP store. The
// mask knows the latter as the name of a secret.
const (
	Variable              = "DELIVERY_LOGS"
	AuthorizationVariable = "DELIVERY_LOGS_AUTHORIZATION"
)

// Config is what a log store is opened with.
type Config struct {
	// Authorization is the header of that name for HTTP stores; it may be empty.
	Authorization string
	AWS           awscloud.Config
}

// Open returns the log store at an address, and nil for an empty one:
//
//	s3://BUCKET/PREFIX?region=REGION       objects in an S3 bucket
//	cloudwatch://GROUP?region=REGION       streams of a log group in CloudWatch Logs
//	loki+https://HOST?tenant=TENANT        Loki
//	elasticsearch+https://HOST/INDEX       Elasticsearch or OpenSearch
//
// The last two may have a path before, and http instead of https. It does not connect.
func Open(address string, c Config) (pipe.LogStore, error) {
	if address == "" {
		return nil, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, &AddressError{problem: "it is not a valid URL"}
	}
	store, err := open(u, c)
	if err != nil {
		return nil, &AddressError{address: fmt.Sprintf(" %q", u.Redacted()), problem: err.Error()}
	}
	return store, nil
}

// AddressError says that an address is not valid.
type AddressError struct{ address, problem string }

func (e *AddressError) Error() string {
	return fmt.Sprintf("invalid address of a log store%s (from %s): %s; expected s3://BUCKET/PREFIX, cloudwatch://LOG_GROUP, "+
		"loki+https://HOST, or elasticsearch+https://HOST/INDEX", e.address, Variable, e.problem)
}

// ExitCode returns the exit code of the command line for this error.
func (*AddressError) ExitCode() int { return exitcode.Usage }

func open(u *url.URL, c Config) (pipe.LogStore, error) {
	switch {
	case u.User != nil:
		return nil, errors.New("it contains a user: set " + AuthorizationVariable + " instead")
	case u.Opaque != "":
		return nil, errors.New("two slashes must follow the colon")
	case u.Fragment != "":
		return nil, errors.New("write # as %23")
	}
	kind, transport, _ := strings.Cut(u.Scheme, "+")
	switch {
	case u.Scheme == "s3":
		if u.Host == "" {
			return nil, errors.New("the bucket is missing")
		}
		aws, err := inRegion(u, c.AWS)
		return awscloud.NewBucketLogs(aws, u.Host, strings.Trim(u.Path, "/")), err
	case u.Scheme == "cloudwatch":
		group := strings.TrimSuffix(u.Host+u.Path, "/")
		if group == "" {
			return nil, errors.New("the log group is missing")
		}
		aws, err := inRegion(u, c.AWS)
		return awscloud.NewGroupLogs(aws, group), err
	case transport != "http" && transport != "https":
		return nil, fmt.Errorf("the scheme %q is unknown", u.Scheme)
	case u.Host == "":
		return nil, errors.New("the host is missing")
	case kind == "loki":
		query, err := parameters(u, "tenant")
		return newLoki(base(u, transport), query.Get("tenant"), c.Authorization), err
	case kind == "elasticsearch":
		if strings.Trim(u.Path, "/") == "" {
			return nil, errors.New("the index or data stream is missing")
		}
		_, err := parameters(u)
		return newElasticsearch(base(u, transport), c.Authorization), err
	}
	return nil, fmt.Errorf("the scheme %q is unknown", u.Scheme)
}

// inRegion returns the configuration of AWS for the region that an address names.
func inRegion(u *url.URL, c awscloud.Config) (awscloud.Config, error) {
	query, err := parameters(u, "region")
	if region := query.Get("region"); region != "" {
		c.Region = region
	}
	return c, err
}

// parameters returns the parameters of an address. It is an error if others are set than
// the allowed ones.
func parameters(u *url.URL, allowed ...string) (url.Values, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("its parameters are not valid")
	}
	for name := range query {
		if !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("the parameter %q is unknown", name)
		}
	}
	return query, nil
}

// base returns the URL of an HTTP store, without parameters and without a slash at its end.
func base(u *url.URL, transport string) *url.URL {
	return &url.URL{Scheme: transport, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}
}
