//! Autoscaling, deployments, instances.
