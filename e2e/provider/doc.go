// Package provider runs an OpenID provider on loopback that nobody of this project
// wrote: zitadel's, a certified one, whose endpoints, tokens and key set are its own.
// What a provider leaves to whoever runs it is here: what it stores, its login page,
// its keys and when they change. SignIn gets a token in the way a person does.
package provider
