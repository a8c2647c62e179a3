# service/version
terraform import delivery_version.strawberry strawberry/1.4.0
