//go:build !unix

package command

import "os/exec"

// asGroup does nothing where there are no groups of processes: a program that is to end is killed.
func asGroup(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}
