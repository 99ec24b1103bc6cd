# SPDX-License-Identifier: Apache-2.0
"""STM32F746G-DISCO: Cortex-M7 at 216 MHz, 1 MB flash, 320 KB SRAM, 16 MB QSPI flash.

Sources: RM0385 (reference manual of the STM32F74xxx), DS10916 (data sheet), UM1907 (board
manual). Read speeds of RAM and flash are published measurements on this part at 216 MHz; the
QSPI figure is the bus limit (4 bits at 72 MHz).
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
    QuadSpi,
    Region,
    RegionKind,
    Stm32Registers,
)

_CORE = Core(
    name="cortex-m7",
    fpu="fpv5-sp-d16",
    dsp=True,
    double_precision=False,
    instruction_cache_bytes=4096,
    data_cache_bytes=4096,
    mpu_regions=8,
)

# RM0385 section 5.3.2 (RCC_PLLCFGR) and 5.2: HSE 25 MHz / 25 * 432 / 2 = 216 MHz; Q gives 48 MHz.
# Table 5: 7 wait states at 2.7-3.6 V above 210 MHz.
_CLOCK = Clock(
    source_hz=25_000_000,
    source_bypass=False,
    pll_m=25,
    pll_n=432,
    pll_p=2,
    pll_q=9,
    ahb_divider=1,
    apb1_divider=4,
    apb2_divider=2,
    flash_wait_states=7,
    # PRFTEN | ARTEN, RM0385 section 3.7.1; the accelerator serves fetches through the ITCM alias.
    flash_control=1 << 8 | 1 << 9,
    over_drive_above_hz=180_000_000,  # RM0385 section 4.1.4.
)

BOARD = Board(
    name="stm32f746g_disco",
    title="STM32F746G-DISCO",
    part="STM32F746NGH6",
    drivers=("clock_f4_f7", "gpio", "quadspi", "usart_v2"),
    core=_CORE,
    clock=_CLOCK,
    regions=(
        Region("ITCM", 0x0000_0000, 16 * 1024, RegionKind.ITCM, 864.0, "RM0385 section 2.3"),
        Region(
            "FLASH",
            0x0800_0000,
            1024 * 1024,
            RegionKind.FLASH,
            276.0,
            "RM0385 section 3.2; measured AXIM read speed",
            aliases=(0x0020_0000,),
        ),
        # DTCM 64 KB, SRAM1 240 KB and SRAM2 16 KB are contiguous (RM0385 section 2.3), so that the
        # 320 KB serve as one region; the stack at its start lies in DTCM.
        Region(
            "SRAM",
            0x2000_0000,
            320 * 1024,
            RegionKind.RAM,
            550.0,
            "RM0385 section 2.3; measured, through the data cache",
        ),
        Region(
            "QSPI",
            0x9000_0000,
            16 * 1024 * 1024,
            RegionKind.EXTERNAL_FLASH,
            36.0,
            "RM0385 section 14, UM1907 section 6.13; 4 bits at 72 MHz",
        ),
    ),
    code_region="FLASH",
    arena_region="SRAM",
    data_region="SRAM",
    stack_region="SRAM",
    stack_bytes=4096,
    stm32=Stm32Registers(
        rcc_base=0x4002_3800,
        rcc_gpio_enable_offset=0x30,  # RCC_AHB1ENR, RM0385 section 5.3.10.
        gpio_base=0x4002_0000,
    ),
    console=Console(
        name="USART1",
        base=0x4001_1000,
        clock_enable_offset=0x44,  # RCC_APB2ENR, RM0385 section 5.3.14.
        clock_enable_bit=4,
        clock_hz=_CLOCK.apb2_hz,
        baud=115200,
        transmit=Pin("A", 9, 7),  # UM1907 section 6.10: ST-LINK virtual COM port.
        receive=Pin("B", 7, 7),
    ),
    quad_spi=QuadSpi(
        base=0xA000_1000,
        prescaler=2,
        size_log2=24,
        pins=(  # UM1907 table 13, DS10916 table 12.
            Pin("B", 2, 9),
            Pin("B", 6, 10),
            Pin("D", 11, 9),
            Pin("D", 12, 9),
            Pin("E", 2, 9),
            Pin("D", 13, 9),
        ),
        clock_enable_offset=0x38,  # RCC_AHB3ENR, RM0385 section 5.3.12.
        clock_enable_bit=1,
    ),
    peripherals=(
        PeripheralBlock(Peripheral.PWR_F7, "PWR", 0x4000_7000),
        PeripheralBlock(Peripheral.USART_V2, "USART1", 0x4001_1000),
        PeripheralBlock(Peripheral.GPIO, "GPIOA", 0x4002_0000),
        PeripheralBlock(Peripheral.GPIO, "GPIOB", 0x4002_0400),
        PeripheralBlock(Peripheral.GPIO, "GPIOD", 0x4002_0C00),
        PeripheralBlock(Peripheral.GPIO, "GPIOE", 0x4002_1000),
        PeripheralBlock(Peripheral.RCC_F7, "RCC", 0x4002_3800),
        PeripheralBlock(Peripheral.FLASH_F7, "FLASH", 0x4002_3C00),
        PeripheralBlock(Peripheral.QUADSPI, "QUADSPI", 0xA000_1000),
    ),
    flash_tool=FlashTool(
        openocd_config="board/stm32f7discovery.cfg",
        external_loader="N25Q128A_STM32F746G-DISCO.stldr",
    ),
    cube_ide=CubeIde(mcu="STM32F746NGHx", board="STM32F746G-DISCO"),
    mbed_target="DISCO_F746NG",
    manual="RM0385",
)
