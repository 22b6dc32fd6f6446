"""The search for α, β and γ: a study that any number of processes work on."""
