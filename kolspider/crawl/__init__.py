"""What stands between the spider and the API: the network's edge, its answers, the response cache, feeds."""
