variable "name" {
  type        = string
  description = "Name of the environment, such as the ID of the run that uses it."
}

variable "service" {
  type        = string
  description = "Name of the service under test."
}

variable "service_version" {
  type        = string
  description = "Version under test. It must have an image in the provider's region."
}

variable "subnet_ids" {
  type        = set(string)
  description = "Subnets of the servers."
}

variable "security_group_ids" {
  type        = set(string)
  description = "Security groups of the servers."
}

variable "listener" {
  type        = string
  description = "ARN of a listener of an application load balancer that environments share."
}

variable "host" {
  type        = string
  description = "Host name of the environment. It must resolve to the load balancer."
}

variable "priority" {
  type        = number
  description = "Priority of the environment's listener rule, unique in the listener. By default, a free one is chosen."
  default     = null
}

variable "port" {
  type        = number
  description = "Port that the service listens on."
}

variable "health_path" {
  type        = string
  description = "Path that returns status 200 if the service is healthy."
  default     = "/"
}

variable "drain" {
  type        = string
  description = "How long servers that are removed may take to finish their requests. As in production, so that what is tested is what is rolled out."
  default     = "30s"
}

variable "instance_type" {
  type        = string
  description = "Instance type of the servers, as in production."
  default     = "t3.micro"
}

variable "servers" {
  type        = number
  description = "Number of servers."
  default     = 2
}

variable "tags" {
  type        = map(string)
  description = "Additional tags."
  default     = {}
}
