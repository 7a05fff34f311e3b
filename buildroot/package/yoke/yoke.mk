################################################################################
#
# yoke
#
################################################################################

YOKE_VERSION = local
# The workspace that this external tree is part of.
YOKE_SITE = $(realpath $(BR2_EXTERNAL_YOKE_PATH)/..)
YOKE_SITE_METHOD = local
# The host package takes the sources the same way and not the list with them.
YOKE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude /target
HOST_YOKE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude /target
YOKE_LICENSE = MIT or Apache-2.0
YOKE_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE

YOKE_TARGET_CRATES = ipvs yoke-director yoke-init yoke-install yoke-shell yoke-vrrp
YOKE_CARGO_BUILD_OPTS = $(addprefix --package ,$(YOKE_TARGET_CRATES))
# Static, as the initrd holds no libraries; and the profile of the workspace,
# which the cargo infrastructure would replace by its own.
YOKE_CARGO_ENV = \
	RUSTFLAGS="-C target-feature=+crt-static" \
	CARGO_PROFILE_RELEASE_OPT_LEVEL="s" \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS="1" \
	CARGO_PROFILE_RELEASE_LTO="true"

HOST_YOKE_CARGO_BUILD_OPTS = --package yoke-image

# A local site is not vendored at download time. Crates are kept in the cache
# of cargo in BR2_DL_DIR, so that a build without the network works once this
# has run, and Cargo.lock holds their hashes.
define YOKE_FETCH_CRATES
	cd $(@D) && \
	$(TARGET_MAKE_ENV) $(PKG_COMMON_CARGO_ENV) \
		cargo fetch --locked
endef
YOKE_PRE_BUILD_HOOKS += YOKE_FETCH_CRATES

define HOST_YOKE_FETCH_CRATES
	cd $(@D) && \
	$(HOST_MAKE_ENV) $(PKG_COMMON_CARGO_ENV) \
		cargo fetch --locked
endef
HOST_YOKE_PRE_BUILD_HOOKS += HOST_YOKE_FETCH_CRATES

YOKE_BIN_DIR = \
	target/$(RUSTC_TARGET_NAME)/$(if $(BR2_ENABLE_DEBUG),debug,release)

# cargo install takes no workspace.
define YOKE_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/$(YOKE_BIN_DIR)/init $(TARGET_DIR)/usr/sbin/init
	$(INSTALL) -D -m 0755 $(@D)/$(YOKE_BIN_DIR)/stage1 $(TARGET_DIR)/usr/sbin/stage1
	$(INSTALL) -D -m 0755 $(@D)/$(YOKE_BIN_DIR)/director $(TARGET_DIR)/usr/sbin/director
	$(INSTALL) -D -m 0755 $(@D)/$(YOKE_BIN_DIR)/ipvsadm $(TARGET_DIR)/usr/sbin/ipvsadm
	ln -sf ipvsadm $(TARGET_DIR)/usr/sbin/ipvsadm-save
	ln -sf ipvsadm $(TARGET_DIR)/usr/sbin/ipvsadm-restore
	$(INSTALL) -D -m 0755 $(@D)/$(YOKE_BIN_DIR)/vrrpd $(TARGET_DIR)/usr/sbin/vrrpd
	$(INSTALL) -D -m 0755 $(@D)/$(YOKE_BIN_DIR)/install $(TARGET_DIR)/usr/sbin/install
	$(INSTALL) -D -m 0755 $(@D)/$(YOKE_BIN_DIR)/shell $(TARGET_DIR)/usr/bin/shell
endef

define HOST_YOKE_INSTALL_CMDS
	$(INSTALL) -D -m 0755 $(@D)/target/release/yoke-image $(HOST_DIR)/bin/yoke-image
endef

# The disk is assembled when everything else is there.
YOKE_DEPENDENCIES = host-yoke

$(eval $(cargo-package))
$(eval $(host-cargo-package))
