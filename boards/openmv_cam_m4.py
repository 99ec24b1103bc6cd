# SPDX-License-Identifier: Apache-2.0
"""OpenMV Cam M4 (STM32F427): Cortex-M4 at 180 MHz, 1 MB flash, 256 KB RAM, a camera.

Sources: RM0090 (reference manual of the STM32F42xxx), DS9405 (data sheet), the board's published
pin list: P4 and P5 are USART3. The 256 KB are 192 KB of SRAM1-3, contiguous, and 64 KB of core
coupled memory (CCM) on the data bus only. Read speeds are bus limits at 180 MHz: one word a cycle,
and for the flash a 128-bit line every six cycles.
"""

from boards.board import (
    Board,
    Clock,
    Console,
    Core,
    CubeIde,
    FlashTool,
    Peripheral,
    PeripheralBlock,
    Pin,
    Region,
    RegionKind,
    Stm32Registers,
)

_CORE = Core(
    name="cortex-m4",
    fpu="fpv4-sp-d16",
    dsp=True,
    double_precision=False,
    instruction_cache_bytes=0,
    data_cache_bytes=0,
    mpu_regions=8,
)

# RM0090 section 6.3.2: 12 MHz / 6 * 180 / 2 = 180 MHz. Table 11: 5 wait states above 150 MHz.
_CLOCK = Clock(
    source_hz=12_000_000,
    source_bypass=False,
    pll_m=6,
    pll_n=180,
    pll_p=2,
    pll_q=8,
    ahb_divider=1,
    apb1_divider=4,
    apb2_divider=2,
    flash_wait_states=5,
    flash_control=1 << 8 | 1 << 9 | 1 << 10,  # PRFTEN | ICEN | DCEN, RM0090 section 3.9.2.
    over_drive_above_hz=168_000_000,  # RM0090 section 5.1.4.
)

BOARD = Board(
    name="openmv_cam_m4",
    title="OpenMV Cam M4",
    part="STM32F427VGT6",
    drivers=("clock_f4_f7", "gpio", "usart_v1"),
    core=_CORE,
    clock=_CLOCK,
    regions=(
        Region(
            "FLASH", 0x0800_0000, 1024 * 1024, RegionKind.FLASH, 480.0, "RM0090 section 3.4, DS9405"
        ),
        Region("CCM", 0x1000_0000, 64 * 1024, RegionKind.TCM, 720.0, "RM0090 section 2.3.1"),
        Region("SRAM", 0x2000_0000, 192 * 1024, RegionKind.RAM, 720.0, "RM0090 section 2.3.1"),
    ),
    code_region="FLASH",
    arena_region="SRAM",
    data_region="CCM",
    stack_region="CCM",
    stack_bytes=4096,
    stm32=Stm32Registers(
        rcc_base=0x4002_3800,
        rcc_gpio_enable_offset=0x30,  # RCC_AHB1ENR, RM0090 section 6.3.10.
        gpio_base=0x4002_0000,
    ),
    console=Console(
        name="USART3",
        base=0x4000_4800,
        clock_enable_offset=0x40,  # RCC_APB1ENR, RM0090 section 6.3.13.
        clock_enable_bit=18,
        clock_hz=_CLOCK.apb1_hz,
        baud=115200,
        transmit=Pin("B", 10, 7),  # P4.
        receive=Pin("B", 11, 7),  # P5.
    ),
    quad_spi=None,
    peripherals=(
        PeripheralBlock(Peripheral.USART_V1, "USART3", 0x4000_4800),
        PeripheralBlock(Peripheral.PWR_F7, "PWR", 0x4000_7000),
        PeripheralBlock(Peripheral.GPIO, "GPIOB", 0x4002_0400),
        PeripheralBlock(Peripheral.RCC_F7, "RCC", 0x4002_3800),
        PeripheralBlock(Peripheral.FLASH_F7, "FLASH", 0x4002_3C00),
    ),
    flash_tool=FlashTool(openocd_config="interface/stlink.cfg -f target/stm32f4x.cfg"),
    cube_ide=CubeIde(mcu="STM32F427VGTx", board="genericBoard"),
    mbed_target=None,
    manual="RM0090",
)
