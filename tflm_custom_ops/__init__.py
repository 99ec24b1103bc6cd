from tflm_vit.start import package_of_commands

package_of_commands(__name__)
