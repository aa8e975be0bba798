"""Requests to the outside, one at a time, for every room that sends any; TLS of the door."""
