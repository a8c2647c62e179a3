#!/usr/bin/env bash
# Puts what "make build" built where Terraform, OpenTofu and Packer look for
# plugins on their own, below the home directory, and the command where "go
# install" puts commands.
set -euo pipefail
cd "$(dirname "$0")/.."

# Without its prerelease: Terraform would want that one named in every
# configuration.
version=$(sed -nE 's/^[[:space:]]+Version += "(.*)"$/\1/p' internal/version/version.go)
[ -n "$version" ] || {
	echo "install: internal/version/version.go states no version" >&2
	exit 1
}
exe=$(go env GOEXE)
root=$HOME/.terraform.d/plugins
if [ "$(go env GOOS)" = windows ]; then
	root=$APPDATA/terraform.d/plugins
fi
for host in registry.terraform.io registry.opentofu.org; do
	folder=$root/$host/pipes-as-code/delivery/$version/$(go env GOOS)_$(go env GOARCH)
	mkdir -p "$folder"
	cp "dist/terraform-provider-delivery$exe" "$folder/.new"
	mv -f "$folder/.new" "$folder/terraform-provider-delivery_v$version$exe"
	echo "installed $folder/terraform-provider-delivery_v$version$exe"
done
bin=$(go env GOBIN)
bin=${bin:-$(go env GOPATH)/bin}
mkdir -p "$bin"
cp "dist/delivery$exe" "$bin/delivery$exe"
echo "installed $bin/delivery$exe"
echo "A folder that was initialised with another build wants its .terraform.lock.hcl removed."

install=(plugins install --path "dist/packer-plugin-delivery$exe" github.com/pipes-as-code/delivery)
# Another program of that name (cracklib has one) states no such version.
for packer in $(type -aP packer) .tools/bin/packer; do
	if "$packer" version </dev/null 2>/dev/null | grep -qE '^Packer v(1\.1[1-9]|1\.[2-9][0-9]|[2-9])'; then
		exec "$packer" "${install[@]}"
	fi
done
echo "Packer 1.11 or newer is not there. Once it is: packer ${install[*]}"
