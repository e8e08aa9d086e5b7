package entra

// Cloud is an instance of Entra ID: its tenants, applications and hosts are its own
// (https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud).
type Cloud string

// The clouds whose hosts are known.
const (
	CloudPublic Cloud = "Public"
	// CloudUSGovernment is Azure Government with Microsoft Graph's L4 (GCC High).
	CloudUSGovernment Cloud = "USGovernment"
	// CloudUSGovernmentDoD is Azure Government with Microsoft Graph's L5 (DoD). No
	// issuer tells it from CloudUSGovernment.
	CloudUSGovernmentDoD Cloud = "USGovernmentDoD"
	// CloudChina is operated by 21Vianet.
	CloudChina Cloud = "China"
)

// Clouds returns every known cloud, the public one first.
func Clouds() []Cloud {
	return []Cloud{CloudPublic, CloudUSGovernment, CloudUSGovernmentDoD, CloudChina}
}

// LoginHost is the host that issues the cloud's access tokens, or "" for an unknown
// cloud.
func (c Cloud) LoginHost() string {
	switch c {
	case CloudPublic:
		return "login.microsoftonline.com"
	case CloudUSGovernment, CloudUSGovernmentDoD:
		return "login.microsoftonline.us"
	case CloudChina:
		return "login.partner.microsoftonline.cn"
	default:
		return ""
	}
}

// GraphHost is the host of the cloud's Microsoft Graph
// (https://learn.microsoft.com/graph/deployments), or "" for an unknown cloud.
func (c Cloud) GraphHost() string {
	switch c {
	case CloudPublic:
		return "graph.microsoft.com"
	case CloudUSGovernment:
		return "graph.microsoft.us"
	case CloudUSGovernmentDoD:
		return "dod-graph.microsoft.us"
	case CloudChina:
		return "microsoftgraph.chinacloudapi.cn"
	default:
		return ""
	}
}
