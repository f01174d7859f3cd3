/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_TEMPLATE_IDLE_H
#define ARROW_CORE_TEMPLATE_IDLE_H

/* Devices with nothing behind them: of a template, of a VM that is only converted, of a zygote. */

#include "engine/engine.h"
#include "net/net.h"

extern const struct arrow_idle_devices arrow_idle_devices;

/* The card of a VM that a card of its network needs. */
enum arrow_nic_kind arrow_nic_kind(enum net_card_kind kind);

/*
 * Opens idle cards of the same kinds as a VM's.
 *   nics: gets like->n_nics of them, to be closed by the caller
 */
int arrow_idle_nics_open(struct arrow_nic *nics, const struct arrow_vm_config *like,
	struct arrow_error *error) ARROW_MUST_CHECK;
void arrow_idle_nics_close(struct arrow_nic *nics, unsigned int n);

#endif
