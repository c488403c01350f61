package config

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestDeployments: the environment that the examples of several servers give to each is one that it
// starts with, of options that there are.
func TestDeployments(t *testing.T) {
	names := make(map[string]bool)
	for _, o := range options {
		names[o.env()] = true
	}
	for _, d := range []struct {
		file    string
		servers func(t *testing.T, document *yaml.Node) [][]string
		want    int
	}{
		{"compose-cluster.yaml", composed, 3},
		{"kubernetes/livego.yaml", pods, 1},
	} {
		text, err := os.ReadFile("../../deploy/" + d.file)
		if err != nil {
			t.Fatal(err)
		}
		var all [][]string
		for documents := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var document yaml.Node
			if err := documents.Decode(&document); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", d.file, err)
			}
			all = append(all, d.servers(t, &document)...)
		}
		if len(all) != d.want {
			t.Errorf("%s: %d servers, want %d", d.file, len(all), d.want)
		}
		ids := make(map[string]bool)
		for _, env := range all {
			for _, entry := range env {
				if name, _, _ := strings.Cut(entry, "="); !names[name] && name != "POD_IP" {
					t.Errorf("%s: there is no option for %s", d.file, name)
				}
			}
			cfg, warnings := given{env: env}.mustLoad(t)
			if cfg.Cluster.Addr == "" || cfg.Store.RedisAddr == "" || cfg.Cluster.ID == "" || ids[cfg.Cluster.ID] || len(warnings) > 0 {
				t.Errorf("%s: %q gives %+v, %v", d.file, env, cfg.Cluster, warnings)
			}
			ids[cfg.Cluster.ID] = true
		}
	}
}

const secretOfTests = "0123456789abcdef0123456789abcdef"

// composed returns the environments of the servers of a file of Compose.
func composed(t *testing.T, document *yaml.Node) (all [][]string) {
	var file struct {
		Services map[string]struct {
			Image       string
			Environment map[string]string
		}
	}
	if err := document.Decode(&file); err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`\$\{CLUSTER_SECRET:[^}]*\}`)
	for _, service := range file.Services {
		if service.Image != "livego" {
			continue
		}
		var env []string
		for name, value := range service.Environment {
			env = append(env, name+"="+variable.ReplaceAllString(value, secretOfTests))
		}
		all = append(all, env)
	}
	return all
}

// pods returns the environment of the pods of a Deployment.
func pods(t *testing.T, document *yaml.Node) (all [][]string) {
	var file struct {
		Kind string
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Env []struct {
							Name, Value string
							ValueFrom   map[string]any `yaml:"valueFrom"`
						}
					}
				}
			}
		}
	}
	if err := document.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if file.Kind != "Deployment" {
		return nil
	}
	for _, c := range file.Spec.Template.Spec.Containers {
		var env []string
		for _, e := range c.Env {
			switch {
			case e.ValueFrom["secretKeyRef"] != nil:
				e.Value = secretOfTests
			case e.Name == "POD_IP":
				e.Value = "10.0.0.7"
			case e.ValueFrom != nil:
				e.Value = "livego-1"
			}
			env = append(env, e.Name+"="+strings.ReplaceAll(e.Value, "$(POD_IP)", "10.0.0.7"))
		}
		all = append(all, env)
	}
	return all
}
