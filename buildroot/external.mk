include $(sort $(wildcard $(BR2_EXTERNAL_YOKE_PATH)/package/*/*.mk))
