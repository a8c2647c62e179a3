# What exists already: replace these by your own.
locals {
  subnet_ids         = ["subnet-0a1b2c3d", "subnet-4e5f6a7b"]
  security_group_ids = ["sg-0a1b2c3d"] # lets the load balancer reach port 8080
  listener           = "arn:aws:elasticloadbalancing:eu-north-1:123456789012:listener/app/main/50dc6c495c0c9188/f2f7dc8efc522ab2"
  domain             = "example.com" # *.example.com leads to the load balancer
}
