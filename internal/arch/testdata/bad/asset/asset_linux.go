package asset // want "has a name that is a build constraint"
