"""The whole stack on this machine, for `rnnlm up`: two servers, a worker, the deployments."""
