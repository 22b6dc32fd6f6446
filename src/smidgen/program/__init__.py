"""The network as a machine does it: fused steps on maps and weights, made from (network, weights)."""
