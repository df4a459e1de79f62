package node

func broken( {
