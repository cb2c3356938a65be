// Nothing to declare: cuda_device.h comes before every file.
