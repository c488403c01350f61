package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestRelease makes the archive and the package for this machine, and runs what is in them.
func TestRelease(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("packages are made on Linux")
	}
	t.Parallel()
	dist, dir := filepath.Join(t.TempDir(), "dist"), t.TempDir()
	run := func(where string, name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Dir = where
		c.Env = append(os.Environ(), "DIST="+dist, "VERSION=v9.8.7", "TARGETS=linux/"+runtime.GOARCH, "DATA_DIR="+dir)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("..", "scripts/release.sh")
	run(dist, "sha256sum", "--check", "--strict", "SHA256SUMS")
	name := "livego_9.8.7_linux_" + runtime.GOARCH
	run(dir, "tar", "-xzf", filepath.Join(dist, name+".tar.gz"))
	if out := run(filepath.Join(dir, name), "./livego", "check-config"); !strings.Contains(out, "livego.yaml: ok") {
		t.Errorf("the archive's program and configuration: %s", out)
	}
	if out := run(dir, filepath.Join(name, "livego"), "--version"); !strings.Contains(out, "9.8.7") {
		t.Errorf("version %s", out)
	}
	deb := filepath.Join(dist, "livego_9.8.7_"+runtime.GOARCH+".deb")
	if out := run(dir, "dpkg-deb", "--field", deb, "Version", "Architecture"); !strings.Contains(out, "9.8.7") || !strings.Contains(out, runtime.GOARCH) {
		t.Errorf("the package: %s", out)
	}
	run(dir, "dpkg-deb", "--extract", deb, "root")
	if out := run(filepath.Join(dir, "root/etc/livego"), "../../usr/bin/livego", "check-config"); !strings.Contains(out, "livego.yaml: ok") {
		t.Errorf("the package's program and configuration: %s", out)
	}
	unit, err := os.ReadFile(filepath.Join(dir, "root/usr/lib/systemd/system/livego.service"))
	if err != nil || !strings.Contains(string(unit), "\nExecStart=/usr/bin/livego\n") {
		t.Errorf("the unit: %v\n%s", err, unit)
	}
}
