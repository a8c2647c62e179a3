#!/usr/bin/env bash
# Generates what no person writes: the pages in docs, from the provider's
# schemas and the examples, and the configuration code of the Packer plugin.
# With --check it fails when any of it was out of date.
set -euo pipefail
cd "$(dirname "$0")/.."

sums() {
	find docs examples packer '(' -name '*.md' -o -name '*.tf' -o -name '*.hcl2spec.go' ')' -exec cksum {} + | sort -k 3
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p docs
sums >"$work/before"

go generate ./...

# Left alone, tfplugindocs would download a Terraform. It looks for the schema
# below this address, whatever the provider's own one is.
address=registry.terraform.io/hashicorp/delivery
go build -o "$work/terraform-provider-delivery" .
cat >"$work/main.tf" <<END
terraform {
  required_providers {
    delivery = {
      source = "$address"
    }
  }
}
END
cat >"$work/cli.tfrc" <<END
provider_installation {
  dev_overrides {
    "$address" = "$work"
  }
}
END
export TF_CLI_CONFIG_FILE=$work/cli.tfrc CHECKPOINT_DISABLE=1
.tools/bin/terraform fmt -recursive examples
.tools/bin/terraform -chdir="$work" providers schema -json >"$work/schema.json"
.tools/bin/tfplugindocs generate --provider-name delivery --providers-schema "$work/schema.json" >"$work/log" || {
	cat "$work/log" >&2
	exit 1
}

if [ "${1-}" = --check ]; then
	sums >"$work/after"
	if ! diff "$work/before" "$work/after" >&2; then
		echo "generate: these files were out of date; they are now generated anew, commit them" >&2
		exit 1
	fi
fi
