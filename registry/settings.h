/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_SETTINGS_H
#define ARROW_REGISTRY_SETTINGS_H

/*
 * Where the files of a user who speaks to registries are. Filled from the environment by whoever
 * starts; nothing in registry/ reads that. Texts are borrowed; NULL where one is not set.
 */
struct registry_settings {
	const char *auth_file;     /* $REGISTRY_AUTH_FILE: the only file of credentials */
	const char *docker_config; /* $DOCKER_CONFIG: directory of config.json */
	const char *runtime_dir;   /* $XDG_RUNTIME_DIR */
	const char *config_dir;    /* $XDG_CONFIG_HOME */
	const char *home;          /* $HOME */
	const char *authorities;   /* $SSL_CERT_FILE: PEM file in place of the system's */
};

#endif
