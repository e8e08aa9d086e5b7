package bootstrap

import "fmt"

// Where systemd looks for what operators install.
const (
	unitFile     = "/etc/systemd/system/tokenreview-webhook.service"
	sysusersFile = "/etc/sysusers.d/tokenreview-webhook.conf"
)

// systemd writes a unit for nodes whose kube-apiserver is on the host's network,
// whoever starts that.
func systemd() Target {
	return Target{
		Name:    "systemd",
		Summary: "service of systemd on every control-plane node",
		node:    true,
		files: func(inputs) ([]File, error) {
			var files []File
			for place, name := range map[string]string{
				unitFile:     "tokenreview-webhook.service",
				sysusersFile: "sysusers.conf",
			} {
				content, err := render("systemd/"+name, nil)
				if err != nil {
					return nil, err
				}
				files = append(files, nodeFile(place, permPublic, content))
			}
			return files, nil
		},
		next: inputs.systemdNext,
	}
}

func (in inputs) systemdNext() string {
	return fmt.Sprintf(`
On every control-plane node, one after the other:

1. Install this binary as /usr/local/bin/webhook.
2. Copy what is in %[1]s/node to /, for root:
     tar -C %[1]s/node --owner=root:0 --group=root:0 -cf - etc | ssh NODE sudo tar -C / --no-overwrite-dir -xpf -
3. Start it, as root:
     systemd-sysusers tokenreview-webhook.conf
     systemctl daemon-reload
     systemctl enable --now tokenreview-webhook
     webhook probe http://127.0.0.1:8081/readyz
4. Give kube-apiserver the flags
%[2]s
The steps one by one: docs/systemd.md
`, in.shellDir(), in.apiServerFlagLines("     "))
}
