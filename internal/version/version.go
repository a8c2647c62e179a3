// Package version is the one place that knows this project's version.
package version

// Set by the linker in a release, where Prerelease is empty.
var (
	// Version is the release that this is, or will become.
	Version = "0.1.0"
	// Prerelease is "dev" in what was built from a working tree. Packer
	// installs plugins of no other prerelease from a file.
	Prerelease = "dev"
)
