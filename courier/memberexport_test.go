package courier

// Names of membership's streams and topic.
const (
	ProtocolRing  = protocolRing
	ProtocolPing  = protocolPing
	ProtocolTerms = protocolTerms
	FaultTopic    = faultTopic
)
