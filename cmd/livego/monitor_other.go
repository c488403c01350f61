//go:build !linux

package main

func quietMonitor() {}
