#!/usr/bin/env bash
# Puts what "make build" built where Terraform, OpenTofu and Packer look for
# plugins on their own: below the home directory.
set -euo pipefail
cd "$(dirname "$0")/.."

# Without its prerelease: Terraform would want that one named in every
# configuration.
version=$(sed -nE 's/^\tVersion += "(.*)"$/\1/p' internal/version/version.go)
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
echo "A folder that was initialised with another build wants its .terraform.lock.hcl removed."

install=(plugins install --path "dist/packer-plugin-delivery$exe" github.com/pipes-as-code/delivery)
if packer=$(type -P packer || type -P .tools/bin/packer); then
	"$packer" "${install[@]}"
else
	echo "Packer is not there. Once it is: packer ${install[*]}"
fi
