variable "name" {
  type        = string
  description = "The environment's name, such as the id of the run that tests in it."
}

variable "service" {
  type        = string
  description = "The service under test."
}

variable "service_version" {
  type        = string
  description = "The version under test. Its image must have been baked in the provider's region."
}

variable "subnet_ids" {
  type        = set(string)
  description = "The subnets of the servers."
}

variable "security_group_ids" {
  type        = set(string)
  description = "The security groups of the servers."
}

variable "listener" {
  type        = string
  description = "ARN of a listener of an application load balancer, which environments share."
}

variable "host" {
  type        = string
  description = "The host name by which requests find the environment. It must lead to the load balancer."
}

variable "priority" {
  type        = number
  description = "The priority of the environment's rule, unique in the listener."
}

variable "port" {
  type        = number
  description = "The port that the service listens on."
}

variable "health_path" {
  type        = string
  description = "The path that answers 200 when the service is healthy."
  default     = "/"
}

variable "instance_type" {
  type        = string
  description = "The type of the servers."
  default     = "t3.micro"
}

variable "servers" {
  type        = number
  description = "How many servers."
  default     = 2
}

variable "tags" {
  type        = map(string)
  description = "More tags."
  default     = {}
}
