package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker (-X main.version=v1.2.3). Without it the version control stamp of
// the build is shown.
var version string

// serverVersion is the bare version, for the server's own answers.
func serverVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func versionText() string {
	return fmt.Sprintf("%s (%s %s/%s)", serverVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
